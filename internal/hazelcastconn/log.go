package hazelcastconn

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"

	"github.com/hazelcast/hazelcast-go-client/logger"
)

// log is the library's logger. It hands on what an slog.Logger wants, and keeps the one message that the library tells
// nobody else: why it cannot connect.
type log struct {
	to *slog.Logger // nil: nobody

	mu      sync.Mutex
	failure string // guarded by mu
}

const connectMessage = "error connecting to cluster"

// Log implements logger.Logger.
func (l *log) Log(weight logger.Weight, message func() string) {
	level := slog.LevelDebug
	switch {
	case weight <= logger.WeightError:
		level = slog.LevelError
	case weight <= logger.WeightWarn:
		level = slog.LevelWarn
	case weight <= logger.WeightInfo:
		level = slog.LevelInfo
	case weight > logger.WeightDebug:
		return
	}
	wanted := l.to != nil && l.to.Enabled(context.Background(), level)
	if !wanted && weight != logger.WeightDebug {
		return
	}
	text := message()
	if weight == logger.WeightDebug && strings.Contains(text, connectMessage) {
		l.mu.Lock()
		l.failure = firstLines(text)
		l.mu.Unlock()
	}
	if wanted {
		l.to.Log(context.Background(), level, "hazelcast client", "message", text)
	}
}

// lastFailure returns the last reason, nil for none.
func (l *log) lastFailure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure == "" {
		return nil
	}
	return errors.New(l.failure)
}

// forget makes room for the reason of the next attempt.
func (l *log) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = ""
}

// firstLines is the beginning of a text: the library puts the server's stack trace into its errors.
func firstLines(text string) string {
	lines := strings.SplitN(text, "\n", 3)
	text = strings.TrimSpace(strings.Join(lines[:min(len(lines), 2)], ""))
	return text[:min(len(text), 300)]
}

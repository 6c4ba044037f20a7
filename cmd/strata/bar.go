package main

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// bar is a progress bar, if somebody sees it: it is drawn on a terminal only.
type bar struct{ b *progressbar.ProgressBar }

// newBar draws on the error stream, so that what is printed can be piped on.
func newBar(s streams, what string) bar {
	if !isTerminal(s.err) {
		return bar{}
	}
	return bar{progressbar.NewOptions(1000, progressbar.OptionSetWriter(s.err), progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(true))}
}

// set draws how much is done, from 0 to 1, and of what.
func (b bar) set(done float64, what string) {
	if b.b != nil {
		b.b.Describe(what)
		_ = b.b.Set(int(min(max(done, 0), 1) * 1000)) // a bar that cannot be drawn is no failure
	}
}

func (b bar) done() {
	if b.b != nil {
		_ = b.b.Finish()
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

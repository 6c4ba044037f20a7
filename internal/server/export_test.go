package server

import (
	"context"
	"os"
)

// Log is the output of the running server so far.
func Log(s *Server) string {
	p := s.running.Load()
	if p == nil {
		return ""
	}
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// AskRedis sends one command to one node of a cluster, and follows no redirection.
func AskRedis(c *Cluster, s *Server, args ...string) (any, error) {
	return c.admin().ask(context.Background(), s.Addr(), args...)
}

package server

import "os"

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

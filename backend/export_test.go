package backend

// Owning returns the view of Prefix as a Store that closes s, for the suite, which closes what it opens.
func (s *Store) Owning(prefix string) *Store {
	view := s.Prefix(prefix)
	view.root = true
	return view
}

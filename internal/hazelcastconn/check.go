package hazelcastconn

// Check returns the error that Open would return for a URL, without connecting.
func Check(rawURL string) error {
	_, err := parse(rawURL, nil)
	return err
}

package tier

// Doubt puts key in doubt, as who watches the servers does.
func Doubt[K comparable, V any](c *Cache[K, V], key K) {
	k, err := c.remoteKey(key)
	if err != nil {
		panic(err)
	}
	c.repairLater(repairOf(k))
}

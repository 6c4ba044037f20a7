//go:build race

package tier_test

const raceEnabled = true

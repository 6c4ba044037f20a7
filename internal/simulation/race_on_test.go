//go:build race

package simulation

// slower is how much less there is time for.
const slower = 8

// Package integration tests the whole of strata on real servers: what no package can test alone.
package integration

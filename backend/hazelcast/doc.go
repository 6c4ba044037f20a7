// Package hazelcast stores records in a map of a Hazelcast cluster.
package hazelcast

// Package node is one node of a coherence check: a process with a cache over a backend and a bus, which reads and writes as
// it is told and records what it saw.
//
// The coordinator starts it and talks to it in gob: [Request] on standard input, [Message] on standard output. The node
// ends when its input does. The source, which the coordinator holds, is reached by a connection of its own ([Source]), through
// which nothing goes wrong but what the script wants.
package node

// Package filejournal keeps pending writes in a file of this machine, in which they outlast the process.
//
//	j, err := filejournal.Open("/var/lib/shop/pending", nil)
//	policy.WriteBehind(table, j, nil)
//
// One process has the file at a time. What is pending is held in memory too, from which everything is answered; the file is read when
// a queue is opened. Writes that come while the disk is busy are written together, with one wait for the disk.
//
// When an accepted write survives what, [Options.Sync] says. What a caller was told is refused is not in the file. A caller waits for
// the disk once its write was begun, also beyond its context, because only then its answer is clear.
package filejournal

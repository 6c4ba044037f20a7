// Package archtest keeps the direction of the module's imports: its test compares what every package imports with the
// table in table.go, and prints for each violation why the rule is there.
//
// A rule that a change needs to break is changed in the table, in the same commit, with its reason.
package archtest

// Package journaltest checks that a journal keeps what journal.Journal and journal.Queue say. Each rule carries the sentence that it
// proves, which is what a failure prints.
//
//	func TestConformance(t *testing.T) {
//		journaltest.Run(t, func(t *testing.T) journaltest.Harness {
//			path := filepath.Join(t.TempDir(), "journal")
//			return journaltest.Harness{
//				Open: func(t *testing.T) journal.Journal { return open(t, path) },
//			}
//		})
//	}
//
// It closes what it opened.
package journaltest

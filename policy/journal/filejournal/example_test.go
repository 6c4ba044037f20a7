package filejournal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	for range 2 { // the second time stands for a restart
		j, err := filejournal.Open(filepath.Join(dir, "pending"), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		q, err := j.Open("products", (*journal.Options)(nil).WithDefaults())
		if err != nil {
			fmt.Println(err)
			return
		}
		entries, err := q.Pending(ctx, []string{"42"})
		fmt.Printf("%q %v\n", entries[0].Value, err)
		q.Append(ctx, time.Second, []journal.Write{{Key: "42", Value: []byte("new"), ID: journal.NewID()}})
		fmt.Println(j.Close())
	}
	// Output:
	// "" <nil>
	// <nil>
	// "new" <nil>
	// <nil>
}

package repairlog_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/repairlog"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	log, err := repairlog.Open(filepath.Join(dir, "products.repairs"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer log.Close()
	products, err := tier.New("products", &tier.Options[int, string]{RepairLog: log})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer products.Close()
	fmt.Println(products.Stats().Repairs)
	// Output: 0
}

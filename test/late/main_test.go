package late

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"latchd/test/site"
)

// cellsAtOnce is how many cells run at the same time. They wait for time-outs
// most of the time, so it has nothing to do with the number of processors.
const cellsAtOnce = 12

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(cellsAtOnce)); err != nil {
		panic(err)
	}
	os.Exit(site.Main(m))
}

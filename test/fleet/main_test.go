package fleet

import (
	"os"
	"testing"

	"latchd/test/site"
)

func TestMain(m *testing.M) { os.Exit(site.Main(m)) }

package soak

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"latchd/test/site"
)

func TestMain(m *testing.M) {
	code := site.Main(m)
	if site.IsSoak() {
		printFigures(os.Stdout)
	}
	os.Exit(code)
}

// fewRounds is what a plain test run does of each soak.
const fewRounds = 10

// rounds is how many rounds this run does of a soak.
func rounds(all int) int {
	if site.IsSoak() {
		return all
	}
	return fewRounds
}

// seed is where the random choices of a test begin: $LATCHD_SOAK_SEED, or any.
func seed(t *testing.T) uint64 {
	n := rand.Uint64N(1_000_000)
	if text := os.Getenv("LATCHD_SOAK_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("LATCHD_SOAK_SEED: %v", err)
		}
	}
	t.Logf("to repeat the choices: LATCHD_SOAK_SEED=%d", n)
	return n
}

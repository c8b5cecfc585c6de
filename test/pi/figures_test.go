package pi

import (
	"fmt"
	"sync"
)

// figureTable is what was measured, in its order.
type figureTable struct {
	mu   sync.Mutex
	rows [][3]string
}

var figures figureTable

// add notes one figure; on which board it was measured, if on any.
func (f *figureTable) add(b board, what, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = append(f.rows, [3]string{what, fmt.Sprintf(format, args...), string(b)})
}

func (f *figureTable) print() {
	if len(f.rows) == 0 {
		return
	}
	fmt.Println("\nFigures (an emulated Pi is some ten times slower than a real one)")
	for _, r := range f.rows {
		fmt.Printf("  %-58s %16s  %s\n", r[0], r[1], r[2])
	}
}

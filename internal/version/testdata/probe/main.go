// Probe prints the version, for the test that stamps one.
package main

import (
	"fmt"

	"latchd/internal/version"
)

func main() { fmt.Println(version.String()) }

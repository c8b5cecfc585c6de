package hub

// Route is an operation of the service API, for the tests that walk over all
// of them.
type Route struct {
	Method, Path string
	MaxBody      int64
}

// Routes gives every operation there is.
func Routes() []Route {
	var all []Route
	for _, r := range routes {
		all = append(all, Route{r.method, r.path, r.maxBody})
	}
	return all
}

package hub

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"latchd/iothub"
)

// route is one operation of the service API.
type route struct {
	method, path string // {} in the path is an argument
	needs        right  // any of these
	maxBody      int64
	do           func(*Hub, *request) (answer, error)
	methodErrors bool // errors have the shape of direct methods
}

// Bounds of bodies, in bytes. The finer limits (of a twin, of a payload) are
// checked on the content.
const (
	noBody       = 16 << 10 // some clients send one all the same
	identityBody = 64 << 10
	twinBody     = 1 << 20 // a whole twin, metadata included, may be sent back
	bulkBody     = 8 << 20 // a hundred identities with their twins
	methodBody   = iothub.MaxMethodPayload + 16<<10
	queryBody    = 64 << 10
	jobBody      = 256 << 10
)

var routes []route

func init() { // not in the declaration: the functions lead back to routes
	routes = []route{
		{"GET", "/devices", registryRead, noBody, (*Hub).apiListDevices, false},
		{"POST", "/devices", registryWrite, bulkBody, (*Hub).apiBulk, false},
		{"POST", "/devices/query", serviceConnect, queryBody, (*Hub).apiQuery, false},
		{"GET", "/devices/{}", registryRead, noBody, (*Hub).apiGetDevice, false},
		{"PUT", "/devices/{}", registryWrite, identityBody, (*Hub).apiPutDevice, false},
		{"DELETE", "/devices/{}", registryWrite, noBody, (*Hub).apiDeleteDevice, false},
		{"GET", "/statistics/devices", registryRead | serviceConnect, noBody, (*Hub).apiDeviceStatistics, false},
		{"GET", "/statistics/service", registryRead | serviceConnect, noBody, (*Hub).apiServiceStatistics, false},
		{"GET", "/twins/{}", serviceConnect, noBody, (*Hub).apiGetTwin, false},
		{"PATCH", "/twins/{}", serviceConnect, twinBody, (*Hub).apiPatchTwin, false},
		{"PUT", "/twins/{}", serviceConnect, twinBody, (*Hub).apiReplaceTwin, false},
		{"POST", "/twins/{}/methods", serviceConnect, methodBody, (*Hub).apiMethod, true},
		{"GET", "/jobs", serviceConnect, noBody, (*Hub).apiOldJobs, false},
		{"GET", "/jobs/v2/query", serviceConnect, noBody, (*Hub).apiListJobs, false},
		{"PUT", "/jobs/v2/{}", serviceConnect, jobBody, (*Hub).apiCreateJob, false},
		{"GET", "/jobs/v2/{}", serviceConnect, noBody, (*Hub).apiGetJob, false},
		{"POST", "/jobs/v2/{}/cancel", serviceConnect, noBody, (*Hub).apiCancelJob, false},
		// Not of IoT Hub, and named so that nobody takes them for it.
		{"GET", "/__events", serviceConnect, noBody, (*Hub).apiEvents, false},
		{"GET", "/__endpoints", registryRead | registryWrite | serviceConnect, noBody, (*Hub).apiEndpoints, false},
	}
}

// findRoute finds the operation that a request asks for. The path is taken
// apart before it is decoded, so that an encoded slash cannot move an id into
// another place; none is allowed in an id. For a wrong verb it says in the
// header of the answer which ones are right.
func findRoute(r *http.Request, header http.Header) (*route, []string, error) {
	path, err := splitRequestPath(r.URL)
	if err != nil {
		return nil, nil, err
	}
	var verbs []string
	for i := range routes {
		args, ok := routes[i].match(path)
		if !ok {
			continue
		}
		if routes[i].method == r.Method {
			return &routes[i], args, nil
		}
		verbs = append(verbs, routes[i].method)
	}
	if verbs != nil {
		header.Set("Allow", strings.Join(verbs, ", "))
		return nil, nil, iothub.Errorf(iothub.MethodNotAllowed, "%s is not possible here, but %s is", r.Method, strings.Join(verbs, ", "))
	}
	if i := slices.Index(path, "modules"); i == 2 && len(path) <= 5 {
		return nil, nil, iothub.Errorf(iothub.ResourceNotFound, "this hub has no module identities")
	}
	return nil, nil, iothub.Errorf(iothub.ResourceNotFound, "there is nothing at this path")
}

// splitRequestPath gives the segments of the path, decoded. One slash at the
// end is allowed (the Node SDK lists /devices/).
func splitRequestPath(u *url.URL) ([]string, error) {
	path := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil || strings.Contains(decoded, "/") {
			return nil, iothub.Errorf(iothub.ArgumentInvalid, "the path holds an encoded slash, which no id can hold, or a bad percent-encoding")
		}
		segments[i] = decoded
	}
	return segments, nil
}

func (rt *route) match(path []string) (args []string, ok bool) {
	pattern := strings.Split(rt.path[1:], "/")
	if len(pattern) != len(path) {
		return nil, false
	}
	for i, p := range pattern {
		switch {
		case p == "{}" && path[i] != "":
			args = append(args, path[i])
		case p != path[i]:
			return nil, false
		}
	}
	return args, true
}

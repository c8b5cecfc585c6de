package iothub

import "time"

// Metadata mirrors the property tree of a twin section: each node says when
// it was last written and, in desired, by which version. Arrays are leaves.
// It is a document of this package, so that it can be stored and printed as
// it stands ("$metadata" of the service's view).
type Metadata map[string]any

const (
	metaUpdated = "$lastUpdated"
	metaVersion = "$lastUpdatedVersion"
)

// FormatTwinTime writes a time as IoT Hub does: UTC, seven fractional digits.
func FormatTwinTime(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.0000000Z")
}

// UpdateMetadata gives the metadata after a merge patch at the given time. A
// version above 0 is stamped on each touched node (desired); 0 stamps none
// (reported). The argument is not written to.
func UpdateMetadata(old Metadata, patch map[string]any, at time.Time, version int64) Metadata {
	return updateNode(old, patch, stamp{FormatTwinTime(at), version})
}

type stamp struct {
	at      string
	version int64
}

func (s stamp) on(node map[string]any) {
	node[metaUpdated] = s.at
	if s.version > 0 {
		node[metaVersion] = s.version
	}
}

func updateNode(old map[string]any, patch map[string]any, s stamp) map[string]any {
	node := make(map[string]any, len(old)+len(patch))
	for k, v := range old {
		node[k] = v
	}
	s.on(node)
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(node, k)
		case map[string]any:
			sub, _ := node[k].(map[string]any)
			node[k] = updateNode(sub, v, s)
		default:
			leaf := map[string]any{}
			s.on(leaf)
			node[k] = leaf
		}
	}
	return node
}

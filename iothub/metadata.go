package iothub

import (
	"encoding/json"
	"maps"
	"strconv"
	"time"
)

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
// (reported). The argument is not written to, though the result may share
// subtrees with it. The patch has passed [CheckPatch], so no name in it can be
// mistaken for a stamp.
func UpdateMetadata(old Metadata, patch map[string]any, at time.Time, version int64) Metadata {
	stamp := map[string]any{metaUpdated: FormatTwinTime(at)}
	if version > 0 {
		stamp[metaVersion] = json.Number(strconv.FormatInt(version, 10))
	}
	return updateNode(old, patch, stamp)
}

// updateNode puts the stamp on a node and on what the patch names below it. A
// leaf is the stamp itself, one map for all.
func updateNode(old, patch, stamp map[string]any) map[string]any {
	node := make(map[string]any, len(old)+len(patch)+len(stamp))
	maps.Copy(node, old)
	maps.Copy(node, stamp)
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(node, k)
		case map[string]any:
			sub, _ := node[k].(map[string]any)
			node[k] = updateNode(sub, v, stamp)
		default:
			node[k] = stamp
		}
	}
	return node
}

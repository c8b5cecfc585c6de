package iothub

// Merge applies a JSON merge patch (RFC 7396) and gives the result; target
// and patch stay as they are, though the result may share subtrees with both,
// so neither may be written to afterwards. A null removes the key, objects
// merge, anything else replaces, arrays too.
func Merge(target, patch map[string]any) map[string]any {
	out := make(map[string]any, len(target)+len(patch))
	for k, v := range target {
		out[k] = v
	}
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(out, k)
		case map[string]any:
			old, _ := out[k].(map[string]any)
			out[k] = Merge(old, v)
		default:
			out[k] = v
		}
	}
	return out
}

// Diff gives the smallest merge patch that turns one document into the other:
// Merge(from, Diff(from, to)) means the same as to. It is empty when nothing
// differs. A null anywhere in to cannot be said by a merge patch and is taken
// as absent.
func Diff(from, to map[string]any) map[string]any {
	patch := map[string]any{}
	for k := range from {
		if to[k] == nil {
			patch[k] = nil
		}
	}
	for k, v := range to {
		if v == nil {
			continue
		}
		old, had := from[k]
		if had && Equal(old, v) {
			continue
		}
		newMap, isMap := v.(map[string]any)
		oldMap, wasMap := old.(map[string]any)
		if isMap && wasMap {
			if sub := Diff(oldMap, newMap); len(sub) > 0 {
				patch[k] = sub
			}
			continue
		}
		if isMap { // nulls within would survive as patch instructions
			v = Merge(nil, newMap)
		}
		patch[k] = v
	}
	return patch
}

package iothub

import "maps"

// Merge applies a JSON merge patch (RFC 7396) and gives the result; target
// and patch stay as they are, though the result may share subtrees with both,
// so neither may be written to afterwards. A null removes the key, objects
// merge, anything else replaces, arrays too.
func Merge(target, patch map[string]any) map[string]any {
	out := maps.Clone(target)
	if out == nil {
		out = make(map[string]any, len(patch))
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
// differs, and may share subtrees with to. A merge patch cannot say that a
// member is null, so a null in to (outside arrays) is taken as absent.
func Diff(from, to map[string]any) map[string]any {
	if patch := diff(from, to); patch != nil {
		return patch
	}
	return map[string]any{}
}

// diff is Diff, but nil where nothing differs: most objects are as they were.
func diff(from, to map[string]any) (patch map[string]any) {
	put := func(k string, v any) {
		if patch == nil {
			patch = map[string]any{}
		}
		patch[k] = v
	}
	for k := range from {
		if to[k] == nil {
			put(k, nil)
		}
	}
	for k, v := range to {
		old, had := from[k]
		switch v := v.(type) {
		case nil:
		case map[string]any:
			if old, ok := old.(map[string]any); !ok {
				put(k, Merge(nil, v)) // nulls within would be instructions
			} else if sub := diff(old, v); sub != nil {
				put(k, sub)
			}
		default:
			if !had || !Equal(old, v) {
				put(k, v)
			}
		}
	}
	return patch
}

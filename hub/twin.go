package hub

import (
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// twinPatch is what the service wants of a twin. A section that is not there
// is nil; one that is null is an empty map with its clear flag.
type twinPatch struct {
	tags, desired           map[string]any
	clearTags, clearDesired bool // the section is to be emptied first
}

func (p twinPatch) empty() bool { return p.tags == nil && p.desired == nil }

// readTwinPatch takes the writable parts out of the body of a PATCH or PUT.
// Everything else is read-only and ignored, because clients send whole twins
// back. The document tells null from absent, which Go structs would not.
func readTwinPatch(body map[string]any, replace bool) (twinPatch, error) {
	p := twinPatch{clearTags: replace, clearDesired: replace}
	var err error
	if p.tags, err = readSection(body, "tags", &p.clearTags); err != nil {
		return p, err
	}
	properties, there := body["properties"]
	if !there || properties == nil {
		return p, nil
	}
	m, ok := properties.(map[string]any)
	if !ok {
		return p, iothub.Errorf(iothub.ArgumentInvalid, "properties: must be an object")
	}
	p.desired, err = readSection(m, "desired", &p.clearDesired)
	return p, err
}

func readSection(from map[string]any, name string, clearFirst *bool) (map[string]any, error) {
	value, there := from[name]
	if !there {
		return nil, nil
	}
	if value == nil {
		*clearFirst = true
		return map[string]any{}, nil
	}
	m, ok := value.(map[string]any)
	if !ok {
		return nil, iothub.Errorf(iothub.ArgumentInvalid, "%s: must be an object or null", name)
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		if k != metadataKey && k != versionKey { // a section as it was read
			out[k] = v
		}
	}
	if err := iothub.CheckPatch(out); err != nil {
		return nil, iothub.Errorf(iothub.ArgumentInvalid, "%s.%s", name, err)
	}
	return out, nil
}

// patched gives the twin after a patch, and the notification for the device:
// nil where desired has not been written.
func (t twin) patched(p twinPatch, at time.Time) (twin, *iothub.Section, error) {
	wroteTags := p.tags != nil && (len(p.tags) > 0 || p.clearTags)
	wroteDesired := p.desired != nil && (len(p.desired) > 0 || p.clearDesired)
	if wroteTags {
		old := t.tags
		if p.clearTags {
			old = nil
		}
		t.tags = iothub.Merge(old, p.tags)
		if err := iothub.CheckSize(t.tags, iothub.MaxTags); err != nil {
			return t, nil, iothub.Errorf(iothub.ArgumentInvalid, "tags: %s", err)
		}
	}
	var notify *iothub.Section
	if wroteDesired {
		patch := p.desired
		if p.clearDesired {
			patch = replacement(t.desired.properties, iothub.Merge(nil, p.desired))
		}
		next, err := t.desired.merged(patch, iothub.MaxDesired, at, t.desired.version+1)
		if err != nil {
			return t, nil, iothub.Errorf(iothub.ArgumentInvalid, "desired: %s", err)
		}
		t.desired = next
		notify = &iothub.Section{Version: next.version, Properties: patch}
	}
	if wroteTags || wroteDesired {
		t.version++
		t.etag++
	}
	return t, notify, nil
}

// reportedBy gives the twin after a device's patch of its reported section. An
// empty patch writes nothing.
func (t twin) reportedBy(patch map[string]any, at time.Time) (twin, error) {
	if err := iothub.CheckPatch(patch); err != nil {
		return t, iothub.Errorf(iothub.ArgumentInvalid, "reported.%s", err)
	}
	if len(patch) == 0 {
		return t, nil
	}
	next, err := t.reported.merged(patch, iothub.MaxReported, at, 0)
	if err != nil {
		return t, iothub.Errorf(iothub.ArgumentInvalid, "reported: %s", err)
	}
	t.reported = next
	t.version++
	return t, nil
}

// merged is the section one version later.
func (s section) merged(patch map[string]any, limit int, at time.Time, stamp int64) (section, error) {
	next := section{
		version:    s.version + 1,
		properties: iothub.Merge(s.properties, patch),
		metadata:   iothub.UpdateMetadata(s.metadata, patch, at, stamp),
	}
	return next, iothub.CheckSize(next.properties, limit)
}

// replacement is the merge patch that turns a section into another one and
// still names all of it: the new content, with a null for each key that goes.
func replacement(from, to map[string]any) map[string]any {
	patch := make(map[string]any, len(from)+len(to))
	for k := range from {
		if _, stays := to[k]; !stays {
			patch[k] = nil
		}
	}
	for k, v := range to {
		was, wasObject := from[k].(map[string]any)
		is, isObject := v.(map[string]any)
		if wasObject && isObject {
			v = replacement(was, is)
		}
		patch[k] = v
	}
	return patch
}

// wire is the twin as the service sees it.
func (t twin) wire(d identity) rest.Twin {
	out := rest.Twin{
		DeviceID: t.deviceID, ETag: t.etag.String(), DeviceETag: d.etag,
		Status: d.status, StatusUpdateTime: rest.Time{Time: d.statusUpdated},
		ConnectionState: d.connectionState, LastActivityTime: rest.Time{Time: d.lastActivity},
		AuthenticationType: d.auth.kind,
		X509Thumbprint:     rest.X509Thumbprint{PrimaryThumbprint: d.auth.primaryThumbprint, SecondaryThumbprint: d.auth.secondaryThumbprint},
		ModelID:            d.modelID, Version: t.version, Tags: t.tags,
		Properties: rest.Properties{Desired: t.desired.document(), Reported: t.reported.document()},
	}
	if d.statusReason != nil {
		out.StatusReason = *d.statusReason
	}
	return out
}

// deviceView is the twin as the device sees it.
func (t twin) deviceView() iothub.Twin {
	return iothub.Twin{
		Desired:  iothub.Section{Version: t.desired.version, Properties: t.desired.properties},
		Reported: iothub.Section{Version: t.reported.version, Properties: t.reported.properties},
	}
}

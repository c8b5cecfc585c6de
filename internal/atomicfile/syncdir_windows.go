package atomicfile

// syncDir does nothing: Windows cannot sync a directory, NTFS journals its names.
func (kernel) syncDir(string) error { return nil }

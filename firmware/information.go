package firmware

import (
	"os"
	"strconv"
	"strings"
)

// Information is what the machine is made of: the device twin's component
// deviceInformation (dtmi:azure:DeviceManagement:DeviceInformation;1) without its
// marker. What cannot be found out is absent.
type Information struct {
	Manufacturer          string `json:"manufacturer,omitempty"`
	Model                 string `json:"model,omitempty"`
	SoftwareVersion       string `json:"swVersion,omitempty"`
	OSName                string `json:"osName,omitempty"`
	ProcessorArchitecture string `json:"processorArchitecture,omitempty"` // as uname -m has it
	ProcessorManufacturer string `json:"processorManufacturer,omitempty"`
	TotalStorage          int64  `json:"totalStorage,omitempty"` // of the root file system, in kilobytes
	TotalMemory           int64  `json:"totalMemory,omitempty"`  // that the kernel can use, in kilobytes
}

// information reads all but the software's version.
func (t tree) information(k kernel) Information {
	info := Information{
		OSName:                t.osName(),
		ProcessorArchitecture: k.architecture(),
		TotalStorage:          k.storage(string(t)),
		TotalMemory:           t.memory(),
	}
	info.Manufacturer, info.Model = t.board()
	info.ProcessorManufacturer = t.processorManufacturer()
	return info
}

// board finds the maker and model: on boards with a device tree there, on PCs in
// the BIOS's tables. A container may be kept from both; a Raspberry Pi's kernel
// then still tells the model in /proc/cpuinfo.
func (t tree) board() (manufacturer, model string) {
	if model = t.text("proc/device-tree/model"); model != "" {
		if compatible := t.list("proc/device-tree/compatible"); len(compatible) > 0 {
			manufacturer = vendor(compatible[0])
		}
		return manufacturer, model
	}
	for _, table := range []struct{ vendor, name string }{
		{"sys_vendor", "product_name"},
		{"board_vendor", "board_name"},
	} {
		model = notPlaceholder(t.text("sys/class/dmi/id/" + table.name))
		if model != "" {
			return notPlaceholder(t.text("sys/class/dmi/id/" + table.vendor)), model
		}
	}
	model = t.field("proc/cpuinfo", "Model")
	if strings.HasPrefix(model, "Raspberry Pi ") {
		manufacturer = "Raspberry Pi"
	}
	return manufacturer, model
}

// processorManufacturer is the maker of the system on chip (the last, most
// general entry of a device tree's compatible list), or of a PC's processor.
func (t tree) processorManufacturer() string {
	// A list of one names only the board, or is a virtual machine's.
	if compatible := t.list("proc/device-tree/compatible"); len(compatible) > 1 {
		return vendor(compatible[len(compatible)-1])
	}
	switch id := t.field("proc/cpuinfo", "vendor_id"); id {
	case "GenuineIntel":
		return "Intel"
	case "AuthenticAMD":
		return "AMD"
	default:
		return id
	}
}

// vendors are the makers behind device tree prefixes, as the kernel's
// Documentation/devicetree/bindings/vendor-prefixes.yaml lists them; those of
// boards that a door is likely to have.
var vendors = map[string]string{
	"allwinner":   "Allwinner",
	"amlogic":     "Amlogic",
	"brcm":        "Broadcom",
	"fsl":         "NXP",
	"nvidia":      "NVIDIA",
	"nxp":         "NXP",
	"pine64":      "Pine64",
	"qcom":        "Qualcomm",
	"radxa":       "Radxa",
	"raspberrypi": "Raspberry Pi",
	"rockchip":    "Rockchip",
	"st":          "STMicroelectronics",
	"ti":          "Texas Instruments",
}

// vendor is the maker in a compatible entry such as "brcm,bcm2711"; one that is
// not in the list is named by its prefix.
func vendor(compatible string) string {
	prefix, _, ok := strings.Cut(compatible, ",")
	if !ok {
		return ""
	}
	if name := vendors[prefix]; name != "" {
		return name
	}
	return prefix
}

// notPlaceholder drops what BIOS makers leave in fields that nobody filled in.
func notPlaceholder(s string) string {
	switch strings.ToLower(s) {
	case "to be filled by o.e.m.", "default string", "system manufacturer", "system product name",
		"not specified", "not applicable", "none", "unknown", "o.e.m.", "oem":
		return ""
	}
	return s
}

// memory is MemTotal, which /proc/meminfo gives in kB and means 1,024 bytes.
func (t tree) memory() int64 {
	number, unit, _ := strings.Cut(t.field("proc/meminfo", "MemTotal"), " ")
	kilobytes, err := strconv.ParseInt(number, 10, 64)
	if err != nil || kilobytes < 0 || unit != "kB" {
		return 0
	}
	return kilobytes
}

// osName is PRETTY_NAME of os-release(5), which may be in either of two places.
func (t tree) osName() string {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		data, err := os.ReadFile(t.path(name))
		if err != nil {
			continue
		}
		found := ""
		for line := range strings.Lines(string(data)) {
			// Of several the last counts, as in the shell that reads the file elsewhere.
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				found = plain(unquote(value))
			}
		}
		if found != "" {
			return found
		}
		return "Linux" // os-release(5): the default
	}
	return ""
}

// unquote undoes the shell quoting that os-release(5) allows: single or double
// quotes around the whole, and a backslash before one of " $ ` \ in double quotes.
func unquote(s string) string {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return s
	}
	quote, s := s[0], s[1:len(s)-1]
	if quote == '\'' {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`").Replace(s)
}

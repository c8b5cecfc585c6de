package main

// modelID is the device's model in the Digital Twins Definition Language, version
// 3. The file is docs/model/dtmi/latchd/device-1.json, and a test holds it to what
// the agent does. It is announced when the device connects; the hub shows it as
// the twin's modelId, and tools that speak plug and play find the model by it.
const modelID = "dtmi:latchd:Device;1"

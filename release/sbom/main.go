// Command sbom writes a CycloneDX bill of materials of a Go binary to stdout. It lists what the toolchain noted in the binary when it
// linked it, so that it says nothing of modules that are only required, and it is the same for the same binary.
//
//	sbom BINARY VERSION [CREATED]
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if err := write(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func write(w io.Writer, args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return errors.New("usage: sbom BINARY VERSION [CREATED]")
	}
	info, err := buildinfo.ReadFile(args[0])
	if err != nil {
		return err
	}
	data, err := os.ReadFile(args[0]) //nolint:gosec // the caller names the binary: that is the purpose
	if err != nil {
		return err
	}
	bom := describe(info, sha256.Sum256(data), strings.TrimPrefix(args[1], "v"))
	if len(args) == 3 {
		bom.Metadata.Timestamp = args[2]
	}
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
}

// describe lists the binary that has this checksum, the standard library and the modules that are in it.
func describe(info *debug.BuildInfo, sum [sha256.Size]byte, version string) *cdx.BOM {
	program := component(cdx.ComponentTypeApplication, info.Main.Path, version)
	program.PackageURL += "?goarch=" + setting(info, "GOARCH") + "&goos=" + setting(info, "GOOS")
	program.BOMRef = program.PackageURL
	program.Hashes = hashes(sum[:])

	toolchain, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	components := []cdx.Component{component(cdx.ComponentTypeLibrary, "std", toolchain)}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		c := component(cdx.ComponentTypeLibrary, module.Path, module.Version)
		// The sum of a module is a SHA-256 over the names and sums of its files: what go.sum has, in other clothes.
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(module.Sum, "h1:")); err == nil && len(sum) > 0 {
			c.Hashes = hashes(sum)
		}
		components = append(components, c)
	}
	var refs []string
	for _, c := range components {
		refs = append(refs, c.BOMRef)
	}

	bom := cdx.NewBOM()
	bom.SerialNumber = serialNumber(sum)
	bom.Metadata = &cdx.Metadata{Component: &program}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: program.BOMRef, Dependencies: &refs}}
	return bom
}

func component(kind cdx.ComponentType, path, version string) cdx.Component {
	purl := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cdx.Component{Type: kind, BOMRef: purl, Name: path, Version: version, PackageURL: purl}
}

func hashes(sum []byte) *[]cdx.Hash {
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// serialNumber is a UUID that is made of a checksum (version 8), so that the same binary has the same.
func serialNumber(sum [sha256.Size]byte) string {
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// Command sbom writes a CycloneDX bill of materials of a Go binary to stdout. cyclonedx-gomod makes it of what the toolchain noted in
// the binary when it linked it, so that it says nothing of modules that are only required. What cyclonedx-gomod would make anew each
// time is made of the binary here: the bill is the same for the same binary.
//
// It has no licences: those that cyclonedx-gomod finds are wrong for one module in fourteen, such as 0BSD for ISC.
//
//	sbom BINARY VERSION [CREATED]
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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
	bom, err := generate(args[0], strings.TrimPrefix(args[1], "v"))
	if err != nil {
		return err
	}
	data, err := os.ReadFile(args[0]) //nolint:gosec // the caller names the binary: that is the purpose
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	bom.SerialNumber = serialNumber(sum)
	bom.Metadata.Component.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}}
	if len(args) == 3 {
		bom.Metadata.Timestamp = args[2]
	}
	// The checksum of a program that everybody compiles for himself.
	for i := range *bom.Metadata.Tools.Tools {
		(*bom.Metadata.Tools.Tools)[i].Hashes = nil
	}
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
}

func generate(binary, version string) (*cdx.BOM, error) {
	// In a module file of its own: what it and the linter ask for does not go together.
	cmd := exec.Command("go", "tool", "-modfile=release/sbom.mod", "cyclonedx-gomod", "bin", //nolint:gosec // the caller names the binary
		"-json", "-std", "-short-purls", "-notimestamp", "-noserial", "-version", version, binary)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cyclonedx-gomod: %w", err)
	}
	bom := new(cdx.BOM)
	return bom, cdx.NewBOMDecoder(bytes.NewReader(out), cdx.BOMFileFormatJSON).Decode(bom)
}

// serialNumber is a UUID that is made of a checksum (version 8), so that the same binary has the same.
func serialNumber(sum [sha256.Size]byte) string {
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

//go:build !unix

package kustomization

import (
	"io/fs"
	"os"
)

func lock(*os.File) {}

func links(fs.FileInfo) uint64 { return 1 }

func keepOwner(*os.File, fs.FileInfo) {}

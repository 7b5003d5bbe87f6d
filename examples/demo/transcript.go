package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// recorder gets what is said, besides stdout.
var recorder = io.Discard

// record lets a part of the demo be written to w, until the returned function is called.
func record(w io.Writer) (stop func()) {
	set := func(to io.Writer) {
		printing.Lock()
		defer printing.Unlock()
		recorder = to
	}
	set(w)
	return func() { set(io.Discard) }
}

// block is what a page shows of a run.
var block = regexp.MustCompile("(?s)(<!-- transcript: [^\n]* -->\n+```console\n).*?(```\n)")

// showIn puts the transcript into pages, in the place of the one that they have.
func showIn(pages []string, transcript string) error {
	for _, name := range pages {
		page, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if !block.Match(page) {
			return fmt.Errorf("%s has no place for a transcript", name)
		}
		text := block.ReplaceAllFunc(page, func(old []byte) []byte {
			parts := block.FindSubmatch(old)
			return []byte(string(parts[1]) + shortened(transcript) + string(parts[2]))
		})
		if err := os.WriteFile(name, text, 0o644); err != nil {
			return err
		}
		say("%s shows this run\n", name)
	}
	return nil
}

// colours are what paint adds.
var colours = regexp.MustCompile(`\x1b\[[0-9]*m`)

// shortened cuts long lines, such as those of JSON. Commands stay whole: they are there to be copied.
func shortened(transcript string) string {
	const most = 136
	var lines strings.Builder
	for line := range strings.Lines(colours.ReplaceAllString(transcript, "")) {
		if runes := []rune(line); len(runes) > most && !strings.HasPrefix(line, "$ ") {
			line = string(runes[:most]) + " ...\n"
		}
		lines.WriteString(line)
	}
	return lines.String()
}

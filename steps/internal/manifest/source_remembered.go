package manifest

import (
	"context"
	"errors"
	"io/fs"
)

// remembered asks a source about a name once. A build asks about the same few names all the time. It serves one build.
type remembered struct {
	Source
	infos map[string]Info
	none  map[string]error
}

func (r remembered) Stat(ctx context.Context, name string) (Info, error) {
	if info, ok := r.infos[name]; ok {
		return info, nil
	}
	if err, ok := r.none[name]; ok {
		return Info{}, err
	}
	info, err := r.Source.Stat(ctx, name)
	switch {
	case err == nil:
		r.infos[name] = info
	case errors.Is(err, fs.ErrNotExist):
		r.none[name] = err
	}
	return info, err
}

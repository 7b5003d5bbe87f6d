package steps

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"slipway/retry"
	"slipway/steps/internal/failure"
)

const (
	logConsole = "console"
	logJSON    = "json"
)

func newLogger(stderr io.Writer, format, level string) (*zap.Logger, error) {
	threshold, ok := map[string]zapcore.Level{
		"debug": zap.DebugLevel, "info": zap.InfoLevel, "warn": zap.WarnLevel, "error": zap.ErrorLevel,
	}[level]
	if !ok {
		return nil, failure.New(failure.Usage, "", "--log-level %q is none of debug, info, warn, error", level)
	}
	var encoder zapcore.Encoder
	switch format {
	case logConsole:
		encoder = &consoleEncoder{MapObjectEncoder: zapcore.NewMapObjectEncoder()}
	case logJSON:
		encoder = zapcore.NewJSONEncoder(zapcore.EncoderConfig{
			TimeKey: "time", LevelKey: "level", MessageKey: "message",
			EncodeTime: zapcore.RFC3339TimeEncoder, EncodeLevel: zapcore.LowercaseLevelEncoder,
			EncodeDuration: zapcore.StringDurationEncoder,
		})
	default:
		return nil, failure.New(failure.Usage, "", "--log-format %q is neither console nor json", format)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(stderr), threshold)), nil
}

// observe returns the observer of a retried unit: it logs which attempt failed, why, and when the next one comes. A look
// that found nothing wrong is no news.
func (e *Env) observe(unit string) retry.Observer {
	return func(a retry.Attempt) {
		if a.Err != nil {
			e.Log.Warn(unit+": attempt failed", zap.Int("attempt", a.Number), zap.String("reason", a.Err.Error()),
				zap.Duration("next", a.Next.Round(time.Millisecond)))
		}
	}
}

// consoleEncoder writes one short line per entry for people: time, level, message, key=value. It uses no colour and no
// control characters, whatever a remote server put into a message: Jenkins shows the log as it is.
type consoleEncoder struct{ *zapcore.MapObjectEncoder }

var buffers = buffer.NewPool()

func (c *consoleEncoder) Clone() zapcore.Encoder {
	clone := zapcore.NewMapObjectEncoder()
	maps.Copy(clone.Fields, c.Fields)
	return &consoleEncoder{clone}
}

func (c *consoleEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	line := buffers.Get()
	_, _ = fmt.Fprintf(line, "%s %-5s %s", entry.Time.Format(time.TimeOnly), entry.Level.CapitalString(), oneText(entry.Message))
	appendFields(line, c.Fields)
	for _, field := range fields {
		one := zapcore.NewMapObjectEncoder()
		field.AddTo(one)
		appendFields(line, one.Fields)
	}
	line.AppendByte('\n')
	return line, nil
}

func appendFields(line *buffer.Buffer, fields map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value := fmt.Sprint(fields[key])
		if value == "" || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(" =\"", r) }) {
			value = strconv.Quote(value)
		}
		_, _ = fmt.Fprintf(line, " %s=%s", key, value)
	}
}

// oneText keeps line breaks and printable characters; what is left of a server's terminal output would otherwise move
// the cursor of whoever reads the log.
func oneText(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.TrimRight(text, "\n"))
}

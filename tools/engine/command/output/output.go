// Package output records what a process prints while showing it to whoever waits.
package output

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	provider "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// The environment variables in which a command finds what the one before it printed.
const (
	PreviousStdout = "PULUMI_COMMAND_STDOUT"
	PreviousStderr = "PULUMI_COMMAND_STDERR"
)

// Output is what a command printed, each without its last line feed.
type Output struct {
	Stdout string `pulumi:"stdout"`
	Stderr string `pulumi:"stderr"`
}

// LoggingValues lists the choices of a `logging` input. The SDK has one such type for
// local and one for remote commands, hence the type parameter.
func LoggingValues[T ~string]() []infer.EnumValue[T] {
	return []infer.EnumValue[T]{
		{Name: "stdout", Value: "stdout"},
		{Name: "stderr", Value: "stderr"},
		{Name: "stdoutAndStderr", Value: "stdoutAndStderr"},
		{Name: "none", Value: "none"},
	}
}

// Recorder keeps both streams of one process, and logs the chosen ones line by line.
type Recorder struct {
	Stdout, Stderr io.Writer

	log            func(line string)
	mutex          sync.Mutex
	stdout, stderr bytes.Buffer
	both           bytes.Buffer
	line           bytes.Buffer
}

// NewRecorder gives a recorder that logs as logging says; nil means both streams.
func NewRecorder[T ~string](ctx context.Context, logging *T) *Recorder {
	choice := "stdoutAndStderr"
	if logging != nil {
		choice = string(*logging)
	}
	r := &Recorder{log: provider.GetLogger(ctx).InfoStatus}
	everything := choice == "stdoutAndStderr"
	r.Stdout = &stream{r, &r.stdout, everything || choice == "stdout"}
	r.Stderr = &stream{r, &r.stderr, everything || choice == "stderr"}
	return r
}

// Finish turns the end of the process into its output, or into an error that shows
// the command and everything that it printed.
func (r *Recorder) Finish(err error, command string) (Output, error) {
	if r.line.Len() > 0 {
		r.log(r.line.String())
	}
	if err != nil {
		return Output{}, fmt.Errorf("%w: running %q:\n%s", err, command, r.both.String())
	}
	return Output{
		Stdout: strings.TrimSuffix(r.stdout.String(), "\n"),
		Stderr: strings.TrimSuffix(r.stderr.String(), "\n"),
	}, nil
}

type stream struct {
	recorder *Recorder
	buffer   *bytes.Buffer
	logged   bool
}

func (s *stream) Write(data []byte) (int, error) {
	r := s.recorder
	r.mutex.Lock()
	defer r.mutex.Unlock()
	s.buffer.Write(data)
	r.both.Write(data)
	if !s.logged {
		return len(data), nil
	}
	rest := data
	for {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		r.line.Write(line)
		if !found {
			return len(data), nil
		}
		r.log(r.line.String())
		r.line.Reset()
		rest = after
	}
}

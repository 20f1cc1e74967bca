// Package local runs commands on the machine that runs Pulumi.
package local

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"opencode-cloud/tools/engine/command/output"
)

// Logging says which streams of a command are shown while it runs.
type Logging string

func (Logging) Values() []infer.EnumValue[Logging] { return output.LoggingValues[Logging]() }

// Process is how a command is run, whatever the command.
type Process struct {
	Interpreter            []string          `pulumi:"interpreter,optional"`
	Dir                    *string           `pulumi:"dir,optional"`
	Environment            map[string]string `pulumi:"environment,optional"`
	Stdin                  *string           `pulumi:"stdin,optional"`
	AssetPaths             []string          `pulumi:"assetPaths,optional"`
	ArchivePaths           []string          `pulumi:"archivePaths,optional"`
	AddPreviousOutputInEnv *bool             `pulumi:"addPreviousOutputInEnv,optional"`
	Logging                *Logging          `pulumi:"logging,optional"`
}

// Results is what a command leaves: its output, and the files that were asked for.
type Results struct {
	output.Output
	Assets  map[string]types.AssetOrArchive `pulumi:"assets,optional"`
	Archive *resource.Archive               `pulumi:"archive,optional"`
}

// Run runs the command. Files that are no longer asked for stay as they were.
func (p Process) Run(ctx context.Context, command string, previous Results) (Results, error) {
	interpreter := p.Interpreter
	if len(interpreter) == 0 {
		interpreter = shell()
	}
	arguments := append(slices.Clone(interpreter[1:]), command)
	cmd := exec.CommandContext(ctx, interpreter[0], arguments...)
	cmd.Env = append(os.Environ(), p.environment(previous)...)
	if p.Dir != nil {
		cmd.Dir = *p.Dir
	}
	if p.Stdin != nil {
		cmd.Stdin = strings.NewReader(*p.Stdin)
	}
	recorder := output.NewRecorder(ctx, p.Logging)
	cmd.Stdout, cmd.Stderr = recorder.Stdout, recorder.Stderr

	results := previous
	var err error
	if results.Output, err = recorder.Finish(cmd.Run(), command); err != nil {
		return Results{}, err
	}
	return p.collect(results)
}

func shell() []string {
	if runtime.GOOS == "windows" {
		return []string{"cmd", "/C"}
	}
	return []string{"/bin/sh", "-c"}
}

func (p Process) environment(previous Results) []string {
	var variables []string
	for name, value := range p.Environment {
		variables = append(variables, name+"="+value)
	}
	if p.AddPreviousOutputInEnv != nil && !*p.AddPreviousOutputInEnv {
		return variables
	}
	if previous.Stdout != "" {
		variables = append(variables, output.PreviousStdout+"="+previous.Stdout)
	}
	if previous.Stderr != "" {
		variables = append(variables, output.PreviousStderr+"="+previous.Stderr)
	}
	return variables
}

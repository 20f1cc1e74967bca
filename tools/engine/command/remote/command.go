package remote

import (
	"context"
	"fmt"
	"strings"

	provider "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"golang.org/x/crypto/ssh"

	"opencode-cloud/tools/engine/command/lifecycle"
	"opencode-cloud/tools/engine/command/output"
)

// Logging says which streams of a command are shown while it runs.
type Logging string

func (Logging) Values() []infer.EnumValue[Logging] { return output.LoggingValues[Logging]() }

// Command is the resource command:remote:Command.
type Command struct{}

// CommandArgs are its inputs.
type CommandArgs struct {
	Connection             *Connection       `pulumi:"connection" provider:"secret"`
	Environment            map[string]string `pulumi:"environment,optional"`
	Stdin                  *string           `pulumi:"stdin,optional"`
	AddPreviousOutputInEnv *bool             `pulumi:"addPreviousOutputInEnv,optional"`
	Logging                *Logging          `pulumi:"logging,optional"`
	lifecycle.Commands
}

// CommandState is what is known of it after a run.
type CommandState struct {
	CommandArgs
	output.Output
}

// Create makes the resource.
func (Command) Create(
	ctx context.Context, request infer.CreateRequest[CommandArgs],
) (infer.CreateResponse[CommandState], error) {
	id, printed, err := lifecycle.Create(ctx, request.Name, request.Inputs, request.DryRun)
	state := CommandState{CommandArgs: request.Inputs, Output: printed}
	return infer.CreateResponse[CommandState]{ID: id, Output: state}, err
}

// Update applies other inputs.
func (Command) Update(
	ctx context.Context, request infer.UpdateRequest[CommandArgs, CommandState],
) (infer.UpdateResponse[CommandState], error) {
	printed, err := lifecycle.Update(ctx, request.Inputs, request.State.Output, request.DryRun)
	state := CommandState{CommandArgs: request.Inputs, Output: printed}
	return infer.UpdateResponse[CommandState]{Output: state}, err
}

// Delete removes the resource, with the inputs of the last run.
func (Command) Delete(
	ctx context.Context, request infer.DeleteRequest[CommandState],
) (infer.DeleteResponse, error) {
	return infer.DeleteResponse{}, lifecycle.Delete(ctx, request.State.CommandArgs, request.State.Output)
}

// Run runs the command.
func (a CommandArgs) Run(
	ctx context.Context, command string, previous output.Output,
) (output.Output, error) {
	client, err := a.Connection.dial(ctx)
	if err != nil {
		return output.Output{}, err
	}
	defer client.Close()
	// A command that is never going to end has to end with the update all the same.
	defer context.AfterFunc(ctx, func() { client.Close() })()

	session, err := client.NewSession()
	if err != nil {
		return output.Output{}, err
	}
	defer session.Close()
	if err := a.setEnvironment(ctx, session, previous); err != nil {
		return output.Output{}, err
	}
	if a.Stdin != nil {
		session.Stdin = strings.NewReader(*a.Stdin)
	}
	recorder := output.NewRecorder(ctx, a.Logging)
	session.Stdout, session.Stderr = recorder.Stdout, recorder.Stderr
	return recorder.Finish(session.Run(command), command)
}

// setEnvironment fails when the server refuses a variable of `environment`; the output
// of the previous run is offered, and most servers refuse it.
func (a CommandArgs) setEnvironment(
	ctx context.Context, session *ssh.Session, previous output.Output,
) error {
	for name, value := range a.Environment {
		if err := session.Setenv(name, value); err != nil {
			return fmt.Errorf("the SSH server does not accept the variable %s (its AcceptEnv "+
				"says which it does); set it in the command instead, or send it on stdin: %w", name, err)
		}
	}
	if a.AddPreviousOutputInEnv != nil && !*a.AddPreviousOutputInEnv {
		return nil
	}
	offers := map[string]string{
		output.PreviousStdout: previous.Stdout,
		output.PreviousStderr: previous.Stderr,
	}
	for name, value := range offers {
		if value == "" {
			continue
		}
		if err := session.Setenv(name, value); err != nil {
			provider.GetLogger(ctx).WarningStatusf(
				"the SSH server does not accept the variable %s: %s", name, err)
		}
	}
	return nil
}

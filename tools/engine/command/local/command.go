package local

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"

	"opencode-cloud/tools/engine/command/lifecycle"
)

// Command is the resource command:local:Command.
type Command struct{}

// CommandArgs are its inputs.
type CommandArgs struct {
	Process
	lifecycle.Commands
}

// CommandState is what is known of it after a run.
type CommandState struct {
	CommandArgs
	Results
}

// Create makes the resource.
func (Command) Create(
	ctx context.Context, request infer.CreateRequest[CommandArgs],
) (infer.CreateResponse[CommandState], error) {
	id, results, err := lifecycle.Create(ctx, request.Name, request.Inputs, request.DryRun)
	state := CommandState{CommandArgs: request.Inputs, Results: results}
	return infer.CreateResponse[CommandState]{ID: id, Output: state}, err
}

// Update applies other inputs.
func (Command) Update(
	ctx context.Context, request infer.UpdateRequest[CommandArgs, CommandState],
) (infer.UpdateResponse[CommandState], error) {
	results, err := lifecycle.Update(ctx, request.Inputs, request.State.Results, request.DryRun)
	state := CommandState{CommandArgs: request.Inputs, Results: results}
	return infer.UpdateResponse[CommandState]{Output: state}, err
}

// Delete removes the resource, with the inputs of the last run.
func (Command) Delete(
	ctx context.Context, request infer.DeleteRequest[CommandState],
) (infer.DeleteResponse, error) {
	return infer.DeleteResponse{}, lifecycle.Delete(ctx, request.State.CommandArgs, request.State.Results)
}

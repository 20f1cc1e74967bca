package local

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// Run is the function command:local:run.
type Run struct{}

// RunArgs are its arguments.
type RunArgs struct {
	Process
	Command string `pulumi:"command"`
}

// RunResult is its result.
type RunResult struct {
	RunArgs
	Results
}

// Invoke runs the command each time that the program runs, in previews too.
func (Run) Invoke(
	ctx context.Context, request infer.FunctionRequest[RunArgs],
) (infer.FunctionResponse[RunResult], error) {
	results, err := request.Input.Process.Run(ctx, request.Input.Command, Results{})
	return infer.FunctionResponse[RunResult]{
		Output: RunResult{RunArgs: request.Input, Results: results},
	}, err
}

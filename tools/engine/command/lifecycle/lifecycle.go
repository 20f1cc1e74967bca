// Package lifecycle says which command runs at which moment of a resource's life.
package lifecycle

import (
	"context"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Commands are the inputs that every resource that runs commands has.
type Commands struct {
	Triggers []any   `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Create   *string `pulumi:"create,optional"`
	Update   *string `pulumi:"update,optional"`
	Delete   *string `pulumi:"delete,optional"`
}

// All gives the commands of whatever embeds them.
func (c Commands) All() Commands { return c }

// Runner is what runs them, and what that leaves.
type Runner[Results any] interface {
	All() Commands
	Run(ctx context.Context, command string, previous Results) (Results, error)
}

// Create runs `create`, if there is one, and gives the new resource's id.
func Create[R any](ctx context.Context, name string, runner Runner[R], preview bool) (string, R, error) {
	var nothing R
	id, err := resource.NewUniqueHex(name, 8, 0)
	if err != nil || preview {
		return id, nothing, err
	}
	results, err := run(ctx, runner, runner.All().Create, nothing)
	return id, results, err
}

// Update runs `update`, or else `create` again, or else nothing.
func Update[R any](ctx context.Context, runner Runner[R], previous R, preview bool) (R, error) {
	command := runner.All().Update
	if command == nil {
		command = runner.All().Create
	}
	if preview {
		return previous, nil
	}
	return run(ctx, runner, command, previous)
}

// Delete runs `delete`, if there is one.
func Delete[R any](ctx context.Context, runner Runner[R], previous R) error {
	_, err := run(ctx, runner, runner.All().Delete, previous)
	return err
}

func run[R any](ctx context.Context, runner Runner[R], command *string, previous R) (R, error) {
	if command == nil {
		return previous, nil
	}
	return runner.Run(ctx, *command, previous)
}

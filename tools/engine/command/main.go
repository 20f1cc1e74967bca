// Command pulumi-resource-command is a plugin that runs commands on this machine and,
// over SSH, on others. It serves the SDK pulumi-command of the same version.
package main

import (
	"context"
	"fmt"
	"os"

	provider "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"opencode-cloud/tools/engine/command/local"
	"opencode-cloud/tools/engine/command/remote"
)

// version is the one of the SDK on PyPI that this plugin serves.
const version = "1.2.1"

func main() {
	plugin := infer.Provider(infer.Options{
		Resources: []infer.InferredResource{
			infer.Resource(local.Command{}),
			infer.Resource(remote.Command{}),
			infer.Resource(remote.CopyToRemote{}),
		},
		Functions: []infer.InferredFunction{infer.Function(local.Run{})},
	})
	if err := provider.RunProvider(context.Background(), "command", version, plugin); err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-command:", err)
		os.Exit(1)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

// findPlugins prints where the packages that can be imported keep what they say of
// their plugin. Asking pip instead takes seconds in a large environment.
const findPlugins = `
import pathlib, sys
for folder in filter(None, sys.path):
    for file in sorted(pathlib.Path(folder).glob("*/pulumi-plugin.json")):
        print(file)
`

// tools gives the package manager of a program: pip, poetry or uv.
func tools(program *pulumirpc.ProgramInfo) (toolchain.Toolchain, error) {
	options, err := options(program)
	if err != nil {
		return nil, err
	}
	return toolchain.ResolveToolchain(options)
}

// options reads the options of `runtime` in Pulumi.yaml.
func options(program *pulumirpc.ProgramInfo) (toolchain.PythonOptions, error) {
	options := toolchain.PythonOptions{
		Root: program.RootDirectory, ProgramDir: program.ProgramDirectory,
	}
	for name, value := range program.Options.AsMap() {
		text, ok := value.(string)
		if !ok {
			return options, fmt.Errorf("runtime option %s: want a text, have %v", name, value)
		}
		switch {
		case name == "virtualenv":
			options.Virtualenv = text
		case name == "toolchain" && text == "pip":
			options.Toolchain = toolchain.Pip
		case name == "toolchain" && text == "poetry":
			options.Toolchain = toolchain.Poetry
		case name == "toolchain" && text == "uv":
			options.Toolchain = toolchain.Uv
		default:
			return options, fmt.Errorf("runtime option %s: %s is not supported here", name, text)
		}
	}
	return options, nil
}

// ask gives what a piece of Python prints in the environment of a program.
func ask(ctx context.Context, tools toolchain.Toolchain, code string) (string, error) {
	command, err := tools.Command(ctx, "-c", code)
	if err != nil {
		return "", err
	}
	output, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("asking %s: %w\n%s", command.Path, err, exit.Stderr)
	}
	return string(output), err
}

func requiredPackages(
	ctx context.Context, tools toolchain.Toolchain,
) ([]*pulumirpc.PackageDependency, error) {
	paths, err := ask(ctx, tools, findPlugins)
	if err != nil {
		return nil, err
	}
	var packages []*pulumirpc.PackageDependency
	for path := range strings.Lines(paths) {
		description, err := plugin.LoadPulumiPluginJSON(strings.TrimSpace(path))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		if description.Resource && description.Name != "" {
			packages = append(packages, dependency(description))
		}
	}
	return packages, nil
}

func dependency(description *plugin.PulumiPluginJSON) *pulumirpc.PackageDependency {
	dependency := &pulumirpc.PackageDependency{
		Kind:    "resource",
		Name:    description.Name,
		Version: "v" + strings.TrimPrefix(description.Version, "v"),
		Server:  description.Server,
	}
	if extension := description.Parameterization; extension != nil {
		dependency.Parameterization = &pulumirpc.PackageParameterization{
			Name: extension.Name, Version: extension.Version, Value: extension.Value,
		}
	}
	return dependency
}

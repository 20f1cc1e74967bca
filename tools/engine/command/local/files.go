package local

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/gobwas/glob"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// collect adds the files that the command was asked to leave.
func (p Process) collect(results Results) (Results, error) {
	directory := "."
	if p.Dir != nil {
		directory = *p.Dir
	}
	if p.AssetPaths != nil {
		members, err := files(directory, p.AssetPaths)
		if err != nil {
			return Results{}, err
		}
		results.Assets = make(map[string]types.AssetOrArchive, len(members))
		for name, member := range members {
			results.Assets[name] = types.AssetOrArchive{Asset: member}
		}
	}
	if p.ArchivePaths == nil {
		return results, nil
	}
	members, err := files(directory, p.ArchivePaths)
	if err != nil {
		return Results{}, err
	}
	contents := make(map[string]any, len(members))
	for name, member := range members {
		contents[name] = member
	}
	results.Archive, err = resource.NewAssetArchive(contents)
	return results, err
}

type pattern struct {
	glob.Glob
	excludes bool
}

// files finds the files below a directory that the last matching pattern includes;
// one that begins with "!" excludes.
func files(directory string, patterns []string) (map[string]*resource.Asset, error) {
	compiled := make([]pattern, len(patterns))
	for i, text := range patterns {
		text, excludes := strings.CutPrefix(text, "!")
		matcher, err := glob.Compile(text, '/')
		if err != nil {
			return nil, fmt.Errorf("path pattern %q: %w", text, err)
		}
		compiled[i] = pattern{matcher, excludes}
	}
	found := map[string]*resource.Asset{}
	err := fs.WalkDir(os.DirFS(directory), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !included(compiled, name) {
			return err
		}
		found[name], err = resource.NewPathAsset(path.Join(directory, name))
		return err
	})
	return found, err
}

func included(patterns []pattern, name string) bool {
	result := false
	for _, candidate := range patterns {
		if candidate.Match(name) {
			result = !candidate.excludes
		}
	}
	return result
}

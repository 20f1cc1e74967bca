package main

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"github.com/pulumi/inflector"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimschema "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/schema"
	pschema "github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

// packageSchema derives the package's Pulumi schema from the provider, in a few
// milliseconds. The bridge's own generator gives the same with documentation, but brings
// 400 packages of code generators for other languages into the binary.
func packageSchema(info tfbridge.ProviderInfo) ([]byte, error) {
	g := generator{
		Name:      info.Name,
		Version:   info.Version,
		Meta:      &pschema.MetadataSpec{ModuleFormat: "(.*)(?:/[^/]*)"},
		Types:     map[string]pschema.ComplexTypeSpec{},
		Resources: map[string]pschema.ResourceSpec{},
		Functions: map[string]pschema.FunctionSpec{},
	}
	g.provider(info.P.Schema(), info.Config)
	for name, resource := range info.Resources {
		fields := info.P.ResourcesMap().Get(name).Schema()
		g.Resources[string(resource.Tok)] = g.resource(string(resource.Tok), fields, resource.Fields)
	}
	for name, source := range info.DataSources {
		fields := info.P.DataSourcesMap().Get(name).Schema()
		g.Functions[string(source.Tok)] = g.function(string(source.Tok), fields, source.Fields)
	}
	return json.Marshal(g)
}

type generator pschema.PackageSpec

type infos = map[string]*tfbridge.SchemaInfo

// side is where a type is used. What the provider can compute may be left out of inputs
// and is always there in outputs.
type side bool

const (
	input  side = false
	output side = true
)

func (g *generator) provider(fields shim.SchemaMap, infos infos) {
	inputs := g.object("docker:index", "Provider", fields, infos, input)
	g.Provider = pschema.ResourceSpec{InputProperties: inputs.Properties}
	g.Provider.Properties = map[string]pschema.PropertySpec{}
	for name, property := range inputs.Properties {
		property.Default, property.DefaultInfo = nil, nil
		g.Provider.Properties[name] = property
	}
	g.Config.Variables = g.object("docker:config", "", fields, infos, input).Properties
}

func (g *generator) resource(token string, fields shim.SchemaMap, infos infos) pschema.ResourceSpec {
	name := lastPart(token)
	outputs := g.object("docker:index", name, fields, infos, output)
	// After the outputs: a nested type that is on both sides is described as an input.
	state := g.object("docker:index", name, fields, infos, input)
	inputs := g.object("docker:index", name, arguments(fields), infos, input)
	state.Required = nil
	// Every resource has an id, which is not a property.
	delete(outputs.Properties, "id")
	delete(state.Properties, "id")
	outputs.Required = slices.DeleteFunc(outputs.Required, func(name string) bool { return name == "id" })
	return pschema.ResourceSpec{
		ObjectTypeSpec:  pschema.ObjectTypeSpec{Properties: outputs.Properties, Required: outputs.Required},
		InputProperties: inputs.Properties,
		RequiredInputs:  inputs.Required,
		StateInputs:     &state,
	}
}

func (g *generator) function(token string, fields shim.SchemaMap, infos infos) pschema.FunctionSpec {
	name := lastPart(token)
	inputs := g.object("docker:index", name, arguments(fields), infos, input)
	outputs := g.object("docker:index", name, fields, infos, output)
	if _, has := outputs.Properties["id"]; !has {
		outputs.Properties["id"] = pschema.PropertySpec{TypeSpec: pschema.TypeSpec{Type: "string"}}
		outputs.Required = append(outputs.Required, "id")
	}
	return pschema.FunctionSpec{Inputs: &inputs, Outputs: &outputs}
}

func lastPart(token string) string { return token[strings.LastIndex(token, ":")+1:] }

// arguments leaves out what only the provider sets.
func arguments(fields shim.SchemaMap) shim.SchemaMap {
	settable := shimschema.SchemaMap{}
	fields.Range(func(key string, field shim.Schema) bool {
		if field.Optional() || field.Required() {
			settable[key] = field
		}
		return true
	})
	return settable
}

// object describes fields; the names of the types nested in them begin with owner.
func (g *generator) object(
	module, owner string, fields shim.SchemaMap, infos infos, side side,
) pschema.ObjectTypeSpec {
	object := pschema.ObjectTypeSpec{Type: "object", Properties: map[string]pschema.PropertySpec{}}
	fields.Range(func(key string, field shim.Schema) bool {
		name := tfbridge.TerraformToPulumiNameV2(key, fields, infos)
		object.Properties[name] = g.property(module, owner, name, field, infos[key], side)
		if !isOptional(field, infos[key], side) {
			object.Required = append(object.Required, name)
		}
		return true
	})
	sort.Strings(object.Required)
	return object
}

func isOptional(field shim.Schema, info *tfbridge.SchemaInfo, side side) bool {
	provided := field.Computed() || info != nil && info.HasDefault()
	if side == output {
		return field.Optional() && !provided
	}
	return field.Optional() || provided
}

func (g *generator) property(
	module, owner, name string, field shim.Schema, info *tfbridge.SchemaInfo, side side,
) pschema.PropertySpec {
	single := name
	if isList(field) && !tfbridge.IsMaxItemsOne(field, info) {
		single = inflector.Singularize(name)
	}
	if owner != "" {
		single = strings.ToUpper(single[:1]) + single[1:]
	}
	property := pschema.PropertySpec{
		TypeSpec:             g.typeOf(module, owner+single, field, info, side),
		Secret:               field.Sensitive(),
		WillReplaceOnChanges: side == input && field.ForceNew(),
	}
	if info != nil && info.Default != nil && len(info.Default.EnvVars) > 0 {
		property.Default = info.Default.Value
		property.DefaultInfo = &pschema.DefaultSpec{Environment: info.Default.EnvVars}
	}
	return property
}

func isList(field shim.Schema) bool {
	return field.Type() == shim.TypeList || field.Type() == shim.TypeSet
}

// typeOf gives the type of a field. If that has fields of its own it becomes a type of
// the package, under the given name.
func (g *generator) typeOf(
	module, name string, field shim.Schema, info *tfbridge.SchemaInfo, side side,
) pschema.TypeSpec {
	switch field.Type() {
	case shim.TypeBool:
		return pschema.TypeSpec{Type: "boolean"}
	case shim.TypeInt:
		return pschema.TypeSpec{Type: "integer"}
	case shim.TypeFloat:
		return pschema.TypeSpec{Type: "number"}
	case shim.TypeString:
		return pschema.TypeSpec{Type: "string"}
	}
	element := pschema.TypeSpec{Type: "string"}
	switch elem := field.Elem().(type) {
	case shim.Schema:
		element = g.typeOf(module, name, elem, nil, side)
	case shim.Resource:
		token := module + "/" + name + ":" + name
		g.Types[token] = pschema.ComplexTypeSpec{
			ObjectTypeSpec: g.object(module, name, elem.Schema(), nil, side),
		}
		element = pschema.TypeSpec{Ref: "#/types/" + token}
	}
	if isList(field) && !tfbridge.IsMaxItemsOne(field, info) {
		return pschema.TypeSpec{Type: "array", Items: &element}
	}
	if _, nested := field.Elem().(shim.Resource); nested || isList(field) {
		return element
	}
	return pschema.TypeSpec{Type: "object", AdditionalProperties: &element}
}

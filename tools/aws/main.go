// Command pulumi-resource-aws is the AWS resource plugin of Pulumi for the resources of our AWS
// stack, built from the upstream Terraform provider and Pulumi's bridge.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/hashicorp/terraform-provider-aws/internal/provider/sdkv2"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// version is the one of the SDK on PyPI that this plugin serves.
const version = "7.51.1"

// resources are the tokens of those that are offered, as the SDK writes them.
var resources = map[string]string{
	"aws_cloudwatch_metric_alarm":         "cloudwatch:MetricAlarm",
	"aws_dlm_lifecycle_policy":            "dlm:LifecyclePolicy",
	"aws_ebs_volume":                      "ebs:Volume",
	"aws_eip":                             "ec2:Eip",
	"aws_eip_association":                 "ec2:EipAssociation",
	"aws_iam_instance_profile":            "iam:InstanceProfile",
	"aws_iam_role":                        "iam:Role",
	"aws_iam_role_policy":                 "iam:RolePolicy",
	"aws_iam_role_policy_attachment":      "iam:RolePolicyAttachment",
	"aws_instance":                        "ec2:Instance",
	"aws_internet_gateway":                "ec2:InternetGateway",
	"aws_key_pair":                        "ec2:KeyPair",
	"aws_lb":                              "lb:LoadBalancer",
	"aws_lb_listener":                     "lb:Listener",
	"aws_lb_target_group":                 "lb:TargetGroup",
	"aws_lb_target_group_attachment":      "lb:TargetGroupAttachment",
	"aws_network_interface":               "ec2:NetworkInterface",
	"aws_network_interface_attachment":    "ec2:NetworkInterfaceAttachment",
	"aws_network_interface_sg_attachment": "ec2:NetworkInterfaceSecurityGroupAttachment",
	"aws_route":                           "ec2:Route",
	"aws_route_table":                     "ec2:RouteTable",
	"aws_route_table_association":         "ec2:RouteTableAssociation",
	"aws_security_group":                  "ec2:SecurityGroup",
	"aws_subnet":                          "ec2:Subnet",
	"aws_volume_attachment":               "ec2:VolumeAttachment",
	"aws_vpc":                             "ec2:Vpc",
}

// dataSources likewise.
var dataSources = map[string]string{
	"aws_ami":                         "ec2:getAmi",
	"aws_availability_zones":          "index:getAvailabilityZones",
	"aws_ec2_instance_type_offerings": "ec2:getInstanceTypeOfferings",
	"aws_ssm_parameter":               "ssm:getParameter",
}

func main() {
	if err := serve(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-aws:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	upstream, err := sdkv2.NewProvider(ctx)
	if err != nil {
		return err
	}
	info := tfbridge.ProviderInfo{
		P:           shimv2.NewProvider(upstream),
		Name:        "aws",
		Version:     version,
		Resources:   map[string]*tfbridge.ResourceInfo{},
		DataSources: map[string]*tfbridge.DataSourceInfo{},
	}
	for name, token := range resources {
		info.Resources[name] = &tfbridge.ResourceInfo{Tok: tokens.Type(member(token))}
	}
	for name, token := range dataSources {
		info.DataSources[name] = &tfbridge.DataSourceInfo{Tok: member(token)}
	}
	info.IgnoreMappings = append(
		others(info.P.ResourcesMap(), resources), others(info.P.DataSourcesMap(), dataSources)...,
	)
	info.SetAutonaming(255, "-")
	// Programs do not ask for it; it is what `pulumi package` would make SDKs of.
	schema, err := json.Marshal(map[string]string{"name": info.Name, "version": version})
	if err != nil {
		return err
	}
	tfbridge.Main(info.Name, version, info, schema)
	return nil
}

// others gives the names of what is not offered.
func others(all shim.ResourceMap, offered map[string]string) []string {
	var names []string
	all.Range(func(name string, _ shim.Resource) bool {
		if _, is := offered[name]; !is {
			names = append(names, name)
		}
		return true
	})
	return names
}

// member gives the token of "ec2:Vpc", which is "aws:ec2/vpc:Vpc".
func member(token string) tokens.ModuleMember {
	module, name, _ := strings.Cut(token, ":")
	file := string(unicode.ToLower(rune(name[0]))) + name[1:]
	return tokens.ModuleMember("aws:" + module + "/" + file + ":" + name)
}

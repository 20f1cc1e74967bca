"""The AWS plugin of Pulumi, built from Go modules for the tests of the AWS stack."""

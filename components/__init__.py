"""The parts a deployment is made of, one component resource a file.

Nothing is imported here, so that a stack loads only the SDKs that it uses.
"""

"""What a pipeline is made of: generate, validate, execute, check.

    generate   FilesGenerator · CodeGenerator · CommandGenerator · ModelGenerator
    validate   SyntaxCheck · SecurityCheck · LintCheck · TypesCheck
    execute    ExecuteStage
    check      ExitCode · TextCheck · JsonCheck · NumbersCheck · ResultsCheck · FileCheck
               MaxTime · MaxMemory · NoStderr · TestsCheck

Each is a `Step`: a primitive from `Work` to `Work`. `Together` lets several of them speak about
the same work.
"""

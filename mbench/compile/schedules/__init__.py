"""Schedules by rule: how each kernel runs on a kind of device. One file a kind of kernel; each package lists its rules.

`rule` has the types that a rule is written with, `dispatch` asks the rules in order, `cpu` and `gpu` hold them.
"""

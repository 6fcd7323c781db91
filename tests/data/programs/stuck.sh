#!/bin/sh
# A program that never answers.
exec sleep 60
